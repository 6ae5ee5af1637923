from nft.inr2array import ArrayClassifier as ArrayClassifier
from nft.inr2array import Inr2Array as Inr2Array
from nft.layers import CrossAttentionPooling as CrossAttentionPooling
from nft.layers import NFTBlock as NFTBlock
from nft.layers import WeightSpaceAttention as WeightSpaceAttention
from nft.network import LayerSpec as LayerSpec
from nft.network import NetworkSpec as NetworkSpec
from nft.symmetry import canonical as canonical
from nft.symmetry import scatter as scatter
from nft.transformer import NFTClassifier as NFTClassifier
from nft.transformer import NFTEditor as NFTEditor
from nft.transformer import NFTEncoder as NFTEncoder

__version__: str
